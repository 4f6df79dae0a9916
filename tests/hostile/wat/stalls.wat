;; Reads the body, and waits for it as long as it is let.
  (import "wasmail:policy/message@0.1.0" "read-body" (func $read (param i64 i32 i32)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    (call $read (i64.const 0) (i32.const 10) (i32.const 1200))
    (i32.const 1024))
