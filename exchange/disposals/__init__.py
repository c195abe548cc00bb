"""Write-off acts."""
