;; Answers with noise, another one for each connection: small numbers, places in its memory, nothing, and anything.
  (global $state (mut i32) (i32.const 1))
  (func $roll (result i32)
    (global.set $state (i32.xor (global.get $state) (i32.shl (global.get $state) (i32.const 13))))
    (global.set $state (i32.xor (global.get $state) (i32.shr_u (global.get $state) (i32.const 17))))
    (global.set $state (i32.xor (global.get $state) (i32.shl (global.get $state) (i32.const 5))))
    (global.get $state))
  (func $word (result i32)
    (local $kind i32)
    (local.set $kind (i32.rem_u (i32.shr_u (call $roll) (i32.const 7)) (i32.const 16)))
    (if (result i32) (i32.lt_u (local.get $kind) (i32.const 6))
      (then (i32.rem_u (i32.shr_u (call $roll) (i32.const 7)) (i32.const 24)))
      (else (if (result i32) (i32.lt_u (local.get $kind) (i32.const 11))
        (then (i32.add (i32.const 1104) (i32.and (call $roll) (i32.const 4092))))
        (else (if (result i32) (i32.lt_u (local.get $kind) (i32.const 15))
          (then (i32.const 0))
          (else (call $roll))))))))
  (func $throw (param $from i32) (param $to i32)
    (loop $again
      (i32.store (local.get $from) (call $word))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (br_if $again (i32.lt_u (local.get $from) (local.get $to)))))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $at i32)
    ;; What the host has written here, the connection among it, is the seed.
    (local.set $at (i32.const 8192))
    (loop $again
      (global.set $state (i32.or (i32.const 1) (i32.add
        (i32.mul (global.get $state) (i32.const 31)) (i32.load (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $again (i32.lt_u (local.get $at) (i32.const 9216))))
    (call $throw (i32.const 1024) (i32.const 6000))
    ;; Mostly a list that is there, of a length that may be.
    (i32.store8 (i32.const 1024) (i32.rem_u (i32.shr_u (call $roll) (i32.const 7)) (i32.const 8)))
    (if (i32.and (call $roll) (i32.const 64)) (then
      (i32.store (i32.const 1052) (i32.const 1104))
      (i32.store (i32.const 1056) (i32.rem_u (i32.shr_u (call $roll) (i32.const 7)) (i32.const 4)))))
    (i32.const 1024))
