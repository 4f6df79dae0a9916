;; Computes without end when it is configured.
  (func (export "wasmail:policy/hook-configure@0.1.0#configure") (param i32 i32) (result i32)
    (loop $again (br $again)) (unreachable))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32) (i32.const 1024))
