;; Gives no handle back.
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (loop $again
      (drop (call $subscribe (i64.const 1)))
      (br $again))
    (i32.const 1024))
