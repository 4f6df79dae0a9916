;; Does not say what it is.
  (func (export "wasmail:policy/describe@0.1.0#describe") (result i32) (unreachable))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.const 1024))
