"""What learns. Imports torch; imports none of our other packages."""
