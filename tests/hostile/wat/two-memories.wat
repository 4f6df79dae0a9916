;; Has a second memory.
  (memory $more 1)
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.const 1024))
