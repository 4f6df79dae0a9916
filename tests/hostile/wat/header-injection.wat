;; Adds a header field whose value holds another one.
  (data (i32.const 950) "X-Ax\0d\0aBcc: all")
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    ;; One mutation at 1104: add-header(name, value).
    (i32.store (i32.const 1052) (i32.const 1104)) (i32.store (i32.const 1056) (i32.const 1))
    (i32.store8 (i32.const 1104) (i32.const 8))
    (i32.store (i32.const 1112) (i32.const 950)) (i32.store (i32.const 1116) (i32.const 3))
    (i32.store (i32.const 1120) (i32.const 953)) (i32.store (i32.const 1124) (i32.const 11))
    (i32.const 1024))
