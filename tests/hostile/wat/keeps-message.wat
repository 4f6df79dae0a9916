;; Does not give the message back.
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    ;; The handle it was lent is not dropped.
    (i32.const 1024))
