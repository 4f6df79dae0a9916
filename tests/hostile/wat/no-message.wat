;; Reads the message where there is one, and again where there is none.
  (import "wasmail:policy/message@0.1.0" "body-size" (func $size (result i64)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    (drop (call $size))
    (i32.const 1024))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (call $size))
    (i32.const 1024))
