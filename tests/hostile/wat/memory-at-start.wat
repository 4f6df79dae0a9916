;; Wants more memory from the start than there may be.
  (memory (export "memory") 2000)
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)

    (i32.const 1024))
