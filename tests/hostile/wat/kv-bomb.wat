;; Fills the store: three hundred values of 60 000 octets, over 256 keys.
  (import "wasmail:policy/kv@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i32 i32)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $count i32)
    (loop $again
      (i32.store8 (i32.const 950)
        (i32.add (i32.const 97) (i32.and (local.get $count) (i32.const 15))))
      (i32.store8 (i32.const 951)
        (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $count) (i32.const 4)) (i32.const 15))))
      ;; key, value, no ttl, where the answer is to lie
      (call $set (i32.const 950) (i32.const 2) (i32.const 65536) (i32.const 60000)
        (i32.const 0) (i32.const 0) (i32.const 2048))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 300))))
    (i32.const 1024))
