;; Takes ten megabytes more at each call and keeps them.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 160)))
    (i32.const 1024))
