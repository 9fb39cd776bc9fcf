"""What each approximation of the chip costs, and what wins it back."""
