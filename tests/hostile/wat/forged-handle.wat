;; Reads a message by a handle that it was never given.
  (import "wasmail:policy/message@0.1.0" "[method]message.body-size" (func $size (param i32) (result i64)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (call $size (i32.const 12345)))
    (i32.const 1024))
