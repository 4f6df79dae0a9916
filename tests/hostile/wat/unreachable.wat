;; Traps at once.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (unreachable)
    (i32.const 1024))
