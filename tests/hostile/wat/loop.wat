;; Computes without end.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (loop $again (br $again))
    (i32.const 1024))
