;; Answers with a list that lies outside its memory.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.store (i32.const 1052) (i32.const 2000000000))
    (i32.store (i32.const 1056) (i32.const 1000))
    (i32.const 1024))
