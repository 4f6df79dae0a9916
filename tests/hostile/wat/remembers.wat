;; Counts its calls in its memory: accepts at the first one, says next afterwards.
  (global $calls (mut i32) (i32.const 0))
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.eqz (global.get $calls)))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.const 1024))
