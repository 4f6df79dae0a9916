;; Logs a line of sixty megabytes.
  (import "wasmail:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 920)))
    (memory.fill (i32.const 0) (i32.const 97) (i32.const 60000000))
    (call $log (i32.const 1) (i32.const 0) (i32.const 60000000))
    (i32.const 1024))
