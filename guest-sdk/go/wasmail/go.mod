module wasmail

go 1.25
