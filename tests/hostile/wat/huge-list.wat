;; Answers with half a million mutations.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 300)))
    (i32.store (i32.const 1052) (i32.const 65536))
    (i32.store (i32.const 1056) (i32.const 500000))
    (i32.const 1024))
