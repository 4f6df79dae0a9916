;; Reads the body, and waits for it as long as it is let.
  (import "wasmail:policy/message@0.1.0" "[method]message.read-body" (func $read (param i32 i64 i32 i32)))
  (import "wasmail:policy/message@0.1.0" "[resource-drop]message" (func $drop (param i32)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param $args i32) (result i32)
    (call $read (i32.load (i32.add (local.get $args) (i32.const $message))) (i64.const 0) (i32.const 10) (i32.const 1200))
    (call $drop (i32.load (i32.add (local.get $args) (i32.const $message))))
    (i32.const 1024))
