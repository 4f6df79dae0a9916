;; Connects nine thousand times, and sends and receives on connections of every number, whatever the answer.
  (import "wasmail:policy/tcp@0.1.0" "connect" (func $connect (param i32 i32 i32)))
  (import "wasmail:policy/tcp@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
  (import "wasmail:policy/tcp@0.1.0" "receive" (func $receive (param i32 i32 i32)))
  (data (i32.const 950) "127.0.0.1:1")
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $count i32)
    (loop $again
      ;; endpoint, where the answer is to lie
      (call $connect (i32.const 950) (i32.const 11) (i32.const 2048))
      (call $send (local.get $count) (i32.const 950) (i32.const 11) (i32.const 2048))
      (call $receive (local.get $count) (i32.const -1) (i32.const 2048))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 3000))))
    (i32.const 1024))
