module example

go 1.25

require wasmail v0.0.0

// `wasmail plugin build` puts it there.
replace wasmail => ./build/wasmail
