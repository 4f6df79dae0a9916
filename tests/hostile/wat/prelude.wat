;; What the hostile guests beside this file have in common; each leaves out what it brings itself.
;; part memory: strings lie below 1024, answers at 1024, the heap begins at 8192.
  (memory (export "memory") 2)
  (data (i32.const 900) "hostile" "0.0.1")
;; part realloc: only ever forward, and forgotten after each call: `heap` is set back by no one, so it wraps.
  (global $heap (mut i32) (i32.const 8192))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    ;; Round up to the alignment.
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get 2))))
    (if (i32.gt_u (i32.add (local.get $at) (local.get 3)) (i32.const 131072))
      (then (local.set $at (i32.const 8192))))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
;; part describe: {name, version, description, reads-notes, reads-results, needs, config-schema: none}
  (func (export "wasmail:policy/describe@0.1.0#describe") (result i32)
    (i32.store (i32.const 832) (i32.const 900)) (i32.store (i32.const 836) (i32.const 7))
    (i32.store (i32.const 840) (i32.const 907)) (i32.store (i32.const 844) (i32.const 5))
    (i32.const 832))
