;; Denies with a text that ends a string in C.
  (data (i32.const 950) "no\00 yes")
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 2))
    (i32.store8 (i32.const 1028) (i32.const 1))
    (i32.store (i32.const 1044) (i32.const 1100)) (i32.store (i32.const 1048) (i32.const 1))
    (i32.store (i32.const 1100) (i32.const 950)) (i32.store (i32.const 1104) (i32.const 7))
    (i32.const 1024))
