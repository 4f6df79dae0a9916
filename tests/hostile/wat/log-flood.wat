;; Logs ten thousand lines, with escapes in them.
  (import "wasmail:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (data (i32.const 950) "\1b[2J\0afake: line")
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $count i32)
    (loop $again
      (call $log (i32.const 1) (i32.const 950) (i32.const 15))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 1024))
