;; Denies with a text of twenty megabytes.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 320)))
    (i32.store8 (i32.const 1024) (i32.const 2)) ;; deny
    (i32.store8 (i32.const 1028) (i32.const 1)) ;; with a reply
    (i32.store (i32.const 1044) (i32.const 1100)) (i32.store (i32.const 1048) (i32.const 1))
    (i32.store (i32.const 1100) (i32.const 65536)) (i32.store (i32.const 1104) (i32.const 20000000))
    (i32.const 1024))
