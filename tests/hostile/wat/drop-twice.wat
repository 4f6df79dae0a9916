;; Gives the message back twice.
  (import "wasmail:policy/message@0.1.0" "[resource-drop]message" (func $drop (param i32)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    (call $drop (i32.load (i32.add (local.get 0) (i32.const $message))))
    (call $drop (i32.load (i32.add (local.get 0) (i32.const $message))))
    (i32.const 1024))
