;; Waits for something by a handle that it was never given.
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (call $block (i32.const 12345))
    (i32.const 1024))
