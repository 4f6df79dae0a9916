;; Asks for more memory than there is, and goes on without.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 60000)))
    (i32.const 1024))
