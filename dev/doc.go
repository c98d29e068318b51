// Package dev runs the development cluster: three node processes and three demo
// services on this machine, the demo's organizations, and the story that shows
// the main job with measured times. It is a client of the command line and of
// the public API and knows nothing of what is inside a node.
package dev
