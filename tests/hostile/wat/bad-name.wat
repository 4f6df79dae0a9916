;; Calls itself by a name that would spoil the log.
  (data (i32.const 950) "a\0ab")
  (func (export "wasmail:policy/describe@0.1.0#describe") (result i32)
    (i32.store (i32.const 832) (i32.const 950)) (i32.store (i32.const 836) (i32.const 3))
    (i32.const 832))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)

    (i32.const 1024))
