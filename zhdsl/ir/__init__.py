"""What a program is: sizes, types, the op contract, nodes, graphs, their textual form and their verifier."""
