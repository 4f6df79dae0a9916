module judges

go 1.25

require wasmail v0.0.0

// The builder puts it there.
replace wasmail => ./build/wasmail
