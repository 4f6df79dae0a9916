;; Refuses any configuration, with a text for the operator.
  (data (i32.const 950) "wrod: unknown key\0a\1b[2J")
  (func (export "wasmail:policy/hook-configure@0.1.0#configure") (param i32 i32) (result i32)
    (i32.store8 (i32.const 1200) (i32.const 1))
    (i32.store (i32.const 1204) (i32.const 950)) (i32.store (i32.const 1208) (i32.const 22))
    (i32.const 1200))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32) (i32.const 1024))
