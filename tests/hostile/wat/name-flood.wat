;; Asks thousands of times for header fields of a name of three megabytes.
  (import "wasmail:policy/message@0.1.0" "values" (func $values (param i32 i32 i32)))
  (func (export "wasmail:policy/hook-data-post@0.1.0#data-post") (param i32) (result i32)
    (drop (memory.grow (i32.const 50)))
    (memory.fill (i32.const 131072) (i32.const 97) (i32.const 3000000))
    (loop $again
      (call $values (i32.const 131072) (i32.const 3000000) (i32.const 1200))
      (br $again))
    (i32.const 1024))
