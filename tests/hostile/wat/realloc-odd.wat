;; Gives the host room that is not aligned.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8193))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)

    (i32.const 1024))
