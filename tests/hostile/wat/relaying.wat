;; Sets relaying, for which it may have no grant.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.store (i32.const 1052) (i32.const 1104)) (i32.store (i32.const 1056) (i32.const 1))
    (i32.store8 (i32.const 1104) (i32.const 6)) (i32.store8 (i32.const 1112) (i32.const 1))
    (i32.const 1024))
