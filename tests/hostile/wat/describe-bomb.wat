;; Says that it reads a million notes.
  (func (export "wasmail:policy/describe@0.1.0#describe") (result i32)
    (drop (memory.grow (i32.const 200)))
    (i32.store (i32.const 832) (i32.const 900)) (i32.store (i32.const 836) (i32.const 7))
    (i32.store (i32.const 840) (i32.const 907)) (i32.store (i32.const 844) (i32.const 5))
    (i32.store (i32.const 856) (i32.const 131072)) (i32.store (i32.const 860) (i32.const 1000000))
    (i32.const 832))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.const 1024))
