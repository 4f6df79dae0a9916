;; Answers with a verdict that does not exist.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 99))
    (i32.const 1024))
