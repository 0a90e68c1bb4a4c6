package lsl

// Linux delivers a multicast datagram to every socket with SO_REUSEADDR, and
// SO_REUSEPORT would spread unicast over processes of one user only.
const sharePort = false
