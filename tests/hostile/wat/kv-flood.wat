;; Adds one to a number in the store nine thousand times, whatever the answer.
  (import "wasmail:policy/kv@0.1.0" "increment" (func $increment (param i32 i32 i64 i32 i32 i32)))
  (data (i32.const 950) "flood")
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $count i32)
    (loop $again
      ;; key, by, no ttl, where the answer is to lie
      (call $increment (i32.const 950) (i32.const 5) (i64.const 1) (i32.const 0) (i32.const 0) (i32.const 2048))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 1024))
