;; Says next, as everybody should.
  (func (export "wasmail:policy/hook-ehlo@0.1.0#ehlo") (param i32) (result i32)
    ;; Memory is zero: {verdict: next, mutations: []}.
    (i32.const 1024))
