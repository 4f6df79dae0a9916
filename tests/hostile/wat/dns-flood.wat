;; Asks the DNS the same thing nine thousand times, whatever the answer.
  (import "wasmail:policy/dns@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32)))
  (data (i32.const 950) "flood.example")
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $count i32)
    (loop $again
      ;; name, record-type a, where the answer is to lie
      (call $lookup (i32.const 950) (i32.const 13) (i32.const 0) (i32.const 2048))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 1024))
