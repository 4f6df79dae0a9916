;; Logs a text that lies outside its memory.
  (import "wasmail:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (call $log (i32.const 1) (i32.const -100) (i32.const 1000))
    (i32.const 1024))
