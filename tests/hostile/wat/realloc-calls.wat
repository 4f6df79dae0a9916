;; Calls the host while the host asks it for room.
  (import "wasmail:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $log (i32.const 1) (i32.const 900) (i32.const 5))
    (i32.const 8192))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)

    (i32.const 1024))
