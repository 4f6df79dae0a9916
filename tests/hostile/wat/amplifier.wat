;; Denies with a hundred thousand lines, all of which are the same sixty thousand octets: six gigabytes of text.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    (local $line i32)
    (drop (memory.grow (i32.const 20)))
    (memory.fill (i32.const 1000000) (i32.const 97) (i32.const 60000))
    (loop $again
      (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $line) (i32.const 8))) (i32.const 1000000))
      (i32.store (i32.add (i32.const 131076) (i32.mul (local.get $line) (i32.const 8))) (i32.const 60000))
      (local.set $line (i32.add (local.get $line) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $line) (i32.const 100000))))
    (i32.store8 (i32.const 1024) (i32.const 2))
    (i32.store8 (i32.const 1028) (i32.const 1))
    (i32.store (i32.const 1044) (i32.const 131072)) (i32.store (i32.const 1048) (i32.const 100000))
    (i32.const 1024))
