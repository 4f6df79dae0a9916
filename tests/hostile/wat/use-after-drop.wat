;; Gives the message back, and reads it.
  (import "wasmail:policy/message@0.1.0" "[method]message.body-size" (func $size (param i32) (result i64)))
  (import "wasmail:policy/message@0.1.0" "[resource-drop]message" (func $drop (param i32)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    (call $drop (i32.load (i32.add (local.get 0) (i32.const $message))))
    (drop (call $size (i32.load (i32.add (local.get 0) (i32.const $message)))))
    (i32.const 1024))
