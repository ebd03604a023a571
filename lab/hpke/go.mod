module hpke

go 1.26.0
