;; Needs a grant that nobody knows.
  (data (i32.const 950) "hostile" "root")
  (func (export "wasmail:policy/describe@0.1.0#describe") (result i32)
    (i32.store (i32.const 832) (i32.const 950)) (i32.store (i32.const 836) (i32.const 7))
    (i32.store (i32.const 872) (i32.const 800)) (i32.store (i32.const 876) (i32.const 1))
    (i32.store (i32.const 800) (i32.const 957)) (i32.store (i32.const 804) (i32.const 4))
    (i32.const 832))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)

    (i32.const 1024))
