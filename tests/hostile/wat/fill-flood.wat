;; Fills all the memory that it gets, over and over: one instruction that nothing interrupts.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (drop (memory.grow (i32.const 900)))
    (loop $again
      (memory.fill (i32.const 65536) (i32.const 1) (i32.const 58000000))
      (br $again))
    (i32.const 1024))
